// Go's part of the bench: one case for each question that Go can be asked.
//
// `go CASE OPERATIONS` prints what it measured as one line of JSON; `go serve echo|http ADDRESS` serves until killed.
// GOMAXPROCS says on how many CPUs. A case that is timed is done once unmeasured, with a tenth of the operations.
package main

import (
	"fmt"
	"os"
	"strconv"
)

// Cases whose answer is the time of an operation.
var timed = map[string]func(n int){
	"yield":        yield,
	"spawn":        spawn,
	"spawn-batch":  spawnBatch,
	"ping-pong-0":  func(n int) { pingPong(n, 0) },
	"ping-pong-1":  func(n int) { pingPong(n, 1) },
	"stream-1024":  func(n int) { stream(n, 1, 1024) },
	"channel-0":    func(n int) { stream(n, 1, 0) },
	"channel-0-4":  func(n int) { stream(n, 4, 0) },
	"channel-64":   func(n int) { stream(n, 1, 64) },
	"channel-64-4": func(n int) { stream(n, 4, 64) },
	"select-8":     selectEight,
	"mutex-1":      func(n int) { mutex(n, 1) },
	"mutex-2":      func(n int) { mutex(n, 2) },
	"mutex-64":     func(n int) { mutex(n, 64) },
	"rwlock-2":     func(n int) { rwlock(n, 2) },
	"rwlock-64":    func(n int) { rwlock(n, 64) },
	"deadline":     deadline,
	"cancel":       cancelOne,
}

// Cases that measure something else, or measure it in another way.
var others = map[string]func(n int){
	"memory-sleep":   func(n int) { memory(n, true) },
	"memory-channel": func(n int) { memory(n, false) },
	"sleepers":       sleepers,
	"wake-channel":   wakeChannel,
	"wake-timer":     wakeTimer,
	"cancel-many":    cancelMany,
	"skew":           skew,
	"growth":         growth,
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3])
	}
	if len(os.Args) != 3 {
		fail("usage: CASE OPERATIONS, or serve echo|http ADDRESS")
	}
	n, err := strconv.Atoi(os.Args[2])
	if err != nil || n < 1 {
		fail("the number of operations: " + os.Args[2])
	}
	if body, ok := timed[os.Args[1]]; ok {
		body(n/10 + 1)
		report(measure(n, func() { body(n) }))
	} else if body, ok := others[os.Args[1]]; ok {
		body(n)
	} else {
		fail("no such case: " + os.Args[1])
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(2)
}
