package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

// spread is what is said of a set of measurements: the median, and the
// quartiles, between which half of them lie.
type spread struct {
	Median float64 `json:"median"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
	N      int     `json:"n"`
}

func spreadOf(v []float64) spread {
	s := slices.Sorted(slices.Values(v))
	return spread{Median: quantile(s, 0.5), Q1: quantile(s, 0.25), Q3: quantile(s, 0.75), N: len(s)}
}

// quantile interpolates between the neighbours in a sorted set; NaN of none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// resamples is how often a ratio is computed anew from measurements drawn with
// replacement. A thousand settle the second digit of a 95 % interval.
const resamples = 1000

// interval is a ratio and the bounds between which 95 % of the resampled
// ratios lie.
type interval struct {
	Ratio float64 `json:"ratio"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// valid reports a ratio of figures above zero. Others are too short for the clock
// that measured them.
func (i interval) valid() bool {
	return i.Low > 0 && !math.IsInf(i.High, 0) && !math.IsNaN(i.Ratio+i.Low+i.High)
}

// ratioOf is the ratio of two medians. Measurements of equal index were taken
// right after each other, so they are drawn together: what slowed down the
// machine slowed down both.
func ratioOf(a, b []float64) interval {
	rng := rand.New(rand.NewPCG(1, 2)) // the same data give the same report
	n := min(len(a), len(b))
	x, y := make([]float64, n), make([]float64, n)
	ratios := make([]float64, 0, resamples)
	for range resamples {
		for i := range n {
			k := rng.IntN(n)
			x[i], y[i] = a[k], b[k]
		}
		ratios = append(ratios, median(x)/median(y))
	}
	slices.Sort(ratios)
	return interval{Ratio: spreadOf(a).Median / spreadOf(b).Median, Low: quantile(ratios, 0.025), High: quantile(ratios, 0.975)}
}

// median sorts v.
func median(v []float64) float64 {
	slices.Sort(v)
	return quantile(v, 0.5)
}
