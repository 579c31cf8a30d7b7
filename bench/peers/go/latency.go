package main

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// A thousand tasks sleep for 1 to 10 ms, over and over, while one keeps a CPU half busy: how late they wake up.
func sleepers(milliseconds int) {
	const tasks = 1000
	until := time.Now().Add(time.Duration(milliseconds) * time.Millisecond)
	late := make([][]time.Duration, tasks)
	var all sync.WaitGroup
	all.Add(tasks + 1)
	go func() {
		defer all.Done()
		for time.Now().Before(until) {
			spin(100 * time.Microsecond)
			time.Sleep(100 * time.Microsecond)
		}
	}()
	for t := 0; t < tasks; t++ {
		go func(t int) {
			defer all.Done()
			asked := time.Duration(1+t%10) * time.Millisecond
			for time.Now().Before(until) {
				started := time.Now()
				time.Sleep(asked)
				late[t] = append(late[t], time.Since(started)-asked)
			}
		}(t)
	}
	before := cpuTime()
	all.Wait()
	figures := quantiles(flat(late))
	figures["cpu_ms"] = float64((cpuTime() - before).Microseconds()) / 1000
	report(figures)
}

func flat(parts [][]time.Duration) (all []time.Duration) {
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func spin(duration time.Duration) {
	for started := time.Now(); time.Since(started) < duration; {
	}
}

// The thread itself sleeps, not the goroutine: so it is done by all contenders.
func sleepThread(duration time.Duration) {
	left := syscall.NsecToTimespec(duration.Nanoseconds())
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}

// A thread that is not the runtime's sends to a task that has been waiting for a while.
func wakeChannel(n int) {
	channel, answer := make(chan time.Time), make(chan time.Duration)
	go func() {
		for sent := range channel {
			answer <- time.Since(sent)
		}
	}()
	runtime.LockOSThread()
	var latencies []time.Duration
	before := cpuTime()
	for i := 0; i < n; i++ {
		sleepThread(300 * time.Microsecond)
		channel <- time.Now()
		latencies = append(latencies, <-answer)
	}
	figures := quantiles(latencies)
	figures["cpu_us"] = float64((cpuTime() - before).Microseconds()) / float64(n)
	report(figures)
}

// Nothing happens but that one task sleeps for a millisecond.
func wakeTimer(n int) {
	var late []time.Duration
	before := cpuTime()
	for i := 0; i < n; i++ {
		started := time.Now()
		time.Sleep(time.Millisecond)
		late = append(late, time.Since(started)-time.Millisecond)
	}
	figures := quantiles(late)
	figures["cpu_us"] = float64((cpuTime() - before).Microseconds()) / float64(n)
	report(figures)
}

// A task each 50 us from a thread of its own, one of a hundred computes for 1 ms: from the start to the end of the others.
func skew(milliseconds int) {
	const every = 50 * time.Microsecond
	n := milliseconds * 20
	latencies := make([]time.Duration, n)
	var all sync.WaitGroup
	all.Add(n)
	runtime.LockOSThread()
	started := time.Now()
	for i := 0; i < n; i++ {
		due := started.Add(time.Duration(i) * every)
		if ahead := time.Until(due); ahead > 60*time.Microsecond {
			sleepThread(ahead)
		}
		go func(i int) {
			defer all.Done()
			if i%100 == 99 {
				spin(time.Millisecond)
				return
			}
			latencies[i] = time.Since(due)
		}(i)
	}
	all.Wait()
	light := latencies[:0]
	for i, latency := range latencies {
		if i%100 != 99 {
			light = append(light, latency)
		}
	}
	report(quantiles(light))
}

// What an operation costs among `n` tasks, beside what it costs among 1,000.
func growth(n int) {
	few, many := growthAmong(1000), growthAmong(n)
	figures := sample{}
	for name, value := range many {
		figures[name] = value / few[name]
		figures[name+"_few_ns"], figures[name+"_many_ns"] = few[name], value
	}
	report(figures)
}

func growthAmong(tasks int) sample {
	figures := sample{}
	per := func(name string, operations int, body func()) {
		started := time.Now()
		body()
		figures[name] = float64(time.Since(started).Nanoseconds()) / float64(operations)
	}
	ring := make([]chan struct{}, tasks)
	for i := range ring {
		ring[i] = make(chan struct{}, 1)
	}
	stop, back := make(chan struct{}), make(chan struct{}, 1)
	var all sync.WaitGroup
	all.Add(tasks)
	for i := range ring {
		go func(i int) {
			defer all.Done()
			for {
				select {
				case <-ring[i]:
					back <- struct{}{}
				case <-stop:
					return
				}
			}
		}(i)
	}
	settle()
	operations := 200_000
	wake := func() {
		for i := 0; i < operations; i++ {
			ring[i*7919%tasks] <- struct{}{}
			<-back
		}
	}
	wake()
	per("wake", operations, wake)
	per("cancel", tasks, func() { close(stop); all.Wait() })
	timers := make([]*time.Timer, tasks)
	for i := range timers {
		timers[i] = time.NewTimer(time.Hour + time.Duration(i)*time.Millisecond)
	}
	per("timer", operations, func() {
		for i := 0; i < operations; i++ {
			time.NewTimer(time.Hour).Stop()
		}
	})
	for _, timer := range timers {
		timer.Stop()
	}
	// They take turns: from the second turn of the first one to its last, everybody else has had as many.
	turns := 2 + operations/tasks
	var second, last time.Time
	all.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func(i int) {
			for turn := 0; turn <= turns; turn++ {
				if i == 0 && turn == 1 {
					second = time.Now()
				}
				runtime.Gosched()
			}
			if i == 0 {
				last = time.Now()
			}
			all.Done()
		}(i)
	}
	all.Wait()
	figures["switch"] = float64(last.Sub(second).Nanoseconds()) / float64(turns*tasks)
	return figures
}
