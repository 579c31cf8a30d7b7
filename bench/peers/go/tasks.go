package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func yield(n int) {
	var both sync.WaitGroup
	both.Add(2)
	for i := 0; i < 2; i++ {
		go func() {
			for i := 0; i < n/2; i++ {
				runtime.Gosched()
			}
			both.Done()
		}()
	}
	both.Wait()
}

func spawn(n int) {
	for i := 0; i < n; i++ {
		ended := make(chan struct{})
		go func() { close(ended) }()
		<-ended
	}
}

func spawnBatch(n int) {
	for i := 0; i < n; i += 1000 {
		var all sync.WaitGroup
		all.Add(1000)
		for j := 0; j < 1000; j++ {
			go func() { all.Done() }()
		}
		all.Wait()
	}
}

func pingPong(n, room int) {
	ping, pong := make(chan uint64, room), make(chan uint64, room)
	go func() {
		for x := range ping {
			pong <- x
		}
	}()
	for i := 0; i < n; i++ {
		ping <- uint64(i)
		<-pong
	}
	close(ping)
}

func stream(n, producers, room int) {
	channel := make(chan uint64, room)
	for p := 0; p < producers; p++ {
		go func() {
			for i := 0; i < n/producers; i++ {
				channel <- uint64(i)
			}
		}()
	}
	for i := 0; i < n/producers*producers; i++ {
		<-channel
	}
}

func selectEight(n int) {
	var c [8]chan uint64
	for i := range c {
		c[i] = make(chan uint64, 1)
	}
	go func() {
		for i := 0; i < n; i++ {
			c[i%8] <- uint64(i)
		}
	}()
	for i := 0; i < n; i++ {
		select {
		case <-c[0]:
		case <-c[1]:
		case <-c[2]:
		case <-c[3]:
		case <-c[4]:
		case <-c[5]:
		case <-c[6]:
		case <-c[7]:
		}
	}
}

// So many goroutines do their part of `n` operations.
func divided(n, tasks int, body func(number int)) {
	var all sync.WaitGroup
	all.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			for i := 0; i < n/tasks; i++ {
				body(i)
			}
			all.Done()
		}()
	}
	all.Wait()
}

func mutex(n, tasks int) {
	var lock sync.Mutex
	number := 0
	divided(n, tasks, func(int) {
		lock.Lock()
		number++
		lock.Unlock()
	})
}

func rwlock(n, tasks int) {
	var lock sync.RWMutex
	number, sum := 0, uint64(0)
	divided(n, tasks, func(i int) {
		if i%10 == 0 {
			lock.Lock()
			number++
			lock.Unlock()
			return
		}
		lock.RLock()
		seen := number
		lock.RUnlock()
		if seen < 0 {
			atomic.AddUint64(&sum, 1)
		}
	})
}

// A receive with a deadline that is met: the timer is armed and taken back.
func deadline(n int) {
	ping, pong := make(chan uint64, 1), make(chan uint64, 1)
	go func() {
		for x := range ping {
			pong <- x
		}
	}()
	timer := time.NewTimer(time.Hour)
	for i := 0; i < n; i++ {
		ping <- uint64(i)
		if !timer.Stop() {
			select {
			case <-timer.C:
			default:
			}
		}
		timer.Reset(time.Hour)
		select {
		case <-pong:
		case <-timer.C:
			fail("an hour has passed")
		}
	}
	close(ping)
}

func cancelOne(n int) {
	for i := 0; i < n; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		started, ended := make(chan struct{}), make(chan struct{})
		go func() {
			close(started)
			<-ctx.Done()
			close(ended)
		}()
		<-started
		cancel()
		<-ended
	}
}

func cancelMany(n int) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			<-ctx.Done()
			all.Done()
		}()
	}
	settle()
	report(measure(n, func() {
		cancel()
		all.Wait()
	}))
}

// Until all that were started have come to their first wait.
func settle() {
	for i := 0; i < 10; i++ {
		runtime.Gosched()
	}
	time.Sleep(100 * time.Millisecond)
}

func memory(n int, sleep bool) {
	runtime.GC()
	before, started := residentBytes(), time.Now()
	channel := make(chan int)
	var waiting int64
	for i := 0; i < n; i++ {
		if sleep {
			go func() {
				atomic.AddInt64(&waiting, 1)
				time.Sleep(time.Hour)
			}()
		} else {
			go func() {
				atomic.AddInt64(&waiting, 1)
				<-channel
			}()
		}
	}
	for atomic.LoadInt64(&waiting) < int64(n) {
		runtime.Gosched()
	}
	elapsed := time.Since(started)
	time.Sleep(100 * time.Millisecond)
	report(sample{
		"bytes":     (residentBytes() - before) / float64(n),
		"create_ns": float64(elapsed.Nanoseconds()) / float64(n),
	})
}
