package main

import (
	"math/rand/v2"
	"sync"
	"time"

	"muxd/internal/sshtest"
)

// never is a CutAfter that does not come.
const never = 1 << 50

// weather makes faults until the function that it returns is called, which
// returns when the last of them is over.
func (s *soak) weather() (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	begin := func(n int, calm time.Duration, one func(*rand.Rand, func(time.Duration))) {
		wg.Go(func() {
			r := s.random(n)
			pause := func(d time.Duration) {
				select {
				case <-time.After(d):
				case <-quit:
				}
			}
			for {
				pause(time.Duration(r.Int64N(int64(calm))))
				select {
				case <-quit:
					return
				default:
					one(r, pause)
				}
			}
		})
	}
	for i, p := range s.proxies {
		begin(i+1, 2*time.Second, func(r *rand.Rand, pause func(time.Duration)) { s.hurt(p, r, pause) })
	}
	for i, d := range s.sshds {
		begin(i+100, 8*time.Second, func(r *rand.Rand, pause func(time.Duration)) { s.hurtServer(d, r, pause) })
	}
	begin(200, 4*time.Second, func(r *rand.Rand, _ func(time.Duration)) { s.administer(r) })
	return func() { close(quit); wg.Wait() }
}

var directions = []sshtest.Direction{sshtest.Up, sshtest.Down, sshtest.Both}

// hurt is one fault of a path. Half of the stalls are shorter than the verdict
// on a silent connection (3 s), half are longer.
func (s *soak) hurt(p *sshtest.Proxy, r *rand.Rand, pause func(time.Duration)) {
	upTo := func(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }
	dir := directions[r.IntN(3)]
	switch r.IntN(8) {
	case 0:
		s.count("fault: reset")
		p.Cut()
	case 1:
		s.count("fault: closed")
		p.CloseAll()
	case 2:
		s.count("fault: stall")
		p.Stall(dir)
		pause(upTo(2500 * time.Millisecond))
		p.Resume(dir)
	case 3:
		s.count("fault: long stall")
		p.Stall(dir)
		pause(3*time.Second + upTo(2*time.Second))
		p.Resume(dir)
	case 4:
		s.count("fault: slow")
		p.Delay(upTo(200 * time.Millisecond))
		pause(upTo(3 * time.Second))
		p.Delay(0)
	case 5:
		s.count("fault: refused")
		p.Refuse(true)
		if r.IntN(2) == 0 {
			p.Cut()
		}
		pause(upTo(3 * time.Second))
		p.Refuse(false)
	default:
		s.count("fault: cut behind a byte")
		dir = directions[r.IntN(2)]
		p.CutAfter(dir, r.Int64N(1<<r.IntN(22))+1)
		pause(upTo(time.Second))
		p.CutAfter(dir, never)
	}
}

// hurtServer is one fault of an sshd.
func (s *soak) hurtServer(d *sshtest.SSHD, r *rand.Rand, pause func(time.Duration)) {
	length := time.Duration(r.Int64N(int64(4500 * time.Millisecond)))
	switch r.IntN(5) {
	case 0, 1, 2:
		s.count("fault: server's sessions stopped")
		d.PauseSessions()
		pause(length)
		d.ResumeSessions()
	case 3:
		s.count("fault: server stopped")
		d.PauseListener()
		pause(length)
		d.ResumeListener()
	case 4:
		s.count("fault: server's sessions killed")
		d.KillSessions()
	}
}

// administer is what a person may do meanwhile, and which harms nobody.
func (s *soak) administer(r *rand.Rand) {
	verb := []string{"recycle", "reconnect", "status"}[r.IntN(3)]
	s.count("muxd " + verb)
	args := []string{verb}
	if verb != "status" {
		args = append(args, s.names[r.IntN(len(s.names))])
	}
	s.run(s.command("muxd", args...), nil)
}

// heal ends every fault.
func (s *soak) heal() {
	for _, p := range s.proxies {
		p.Resume(sshtest.Both)
		p.Delay(0)
		p.Refuse(false)
		p.CutAfter(sshtest.Up, never)
		p.CutAfter(sshtest.Down, never)
	}
	for _, d := range s.sshds {
		d.ResumeListener()
		d.ResumeSessions()
	}
}
