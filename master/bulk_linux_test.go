package master

import (
	"context"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// BenchmarkBulk moves megabytes through a session to a server in another
// process, and reports what that costs this one: processor time, and what is
// allocated, most of it the SSH library's (a packet that came is 32 KiB).
func BenchmarkBulk(b *testing.B) {
	for _, command := range []string{"pour", "drink"} {
		b.Run(command, func(b *testing.B) {
			m, request := scaled(b, command)
			s, err := m.Session(context.Background(), request(0), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			move := s.Read
			if command == "drink" {
				move = s.Write
			}
			buf := make([]byte, 128<<10)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			bytes, start := 0, spent()
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				for end := bytes + 1<<20; bytes < end; {
					n, err := move(buf)
					if err != nil {
						b.Fatal(err)
					}
					bytes += n
				}
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric((spent()-start).Seconds()*1e9/float64(bytes), "cpu-s/GB")
			b.ReportMetric(float64(after.NumGC-before.NumGC)*1e9/float64(bytes), "GCs/GB")
		})
	}
}

// spent is the processor time of this process so far.
func spent() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
