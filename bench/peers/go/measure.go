package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type sample map[string]float64

// Prints the only line that is read.
func report(figures sample) {
	line, err := json.Marshal(figures)
	if err != nil {
		fail(err.Error())
	}
	fmt.Println(string(line))
}

func measure(n int, body func()) sample {
	before, started := cpuTime(), time.Now()
	body()
	elapsed, cpu := time.Since(started), cpuTime()-before
	return sample{
		"ns":     float64(elapsed.Nanoseconds()) / float64(n),
		"cpu_ns": float64(cpu.Nanoseconds()) / float64(n),
	}
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err.Error())
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Resident memory and page tables of this process, in bytes.
func residentBytes() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fail(err.Error())
	}
	kib := 0
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "VmPTE:") {
			n, _ := strconv.Atoi(strings.Fields(line)[1])
			kib += n
		}
	}
	return float64(kib) * 1024
}

// The quantiles that the bench asks for.
func quantiles(values []time.Duration) sample {
	sort.Slice(values, func(a, b int) bool { return values[a] < values[b] })
	at := func(part float64) float64 {
		place := int(part * float64(len(values)))
		if place >= len(values) {
			place = len(values) - 1
		}
		return float64(values[place].Nanoseconds()) / 1000
	}
	return sample{"p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999)}
}
