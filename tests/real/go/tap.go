// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// TAP output. A case fails by panicking with a failure, which must and equal do.

type failure struct{ text string }

var cases, failed int

func test(name string, body func()) {
	if !strings.Contains(name, os.Getenv("ONLY")) {
		return
	}
	cases++
	start := time.Now()
	defer func() {
		if took := time.Since(start); took > time.Second {
			fmt.Printf("# %s took %.1f s\n", name, took.Seconds())
		}
	}()
	defer func() {
		if wrong := recover(); wrong != nil {
			failed++
			text := fmt.Sprint(wrong)
			if f, ok := wrong.(failure); ok {
				text = f.text
			}
			fmt.Printf("not ok %d - %s\n# %s\n", cases, name, strings.ReplaceAll(text, "\n", "\n# "))
			return
		}
		fmt.Printf("ok %d - %s\n", cases, name)
	}()
	body()
}

func fail(format string, args ...any) {
	where := ""
	for skip := 2; skip < 5; skip++ {
		_, file, line, _ := runtime.Caller(skip)
		where += fmt.Sprintf(" %s:%d", filepath.Base(file), line)
	}
	panic(failure{fmt.Sprintf(format, args...) + " (" + strings.TrimSpace(where) + ")"})
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func truth(condition bool, format string, args ...any) {
	if !condition {
		fail(format, args...)
	}
}

func equal[T comparable](expected, got T, what string) {
	if expected != got {
		fail("%s: expected %v, got %v", what, expected, got)
	}
}

func equalBytes(expected, got []byte, what string) {
	if !bytes.Equal(expected, got) || (expected == nil) != (got == nil) {
		fail("%s: expected %.60q, got %.60q", what, expected, got)
	}
}

// What a busy machine may need for what takes milliseconds.
const patience = time.Minute

// within waits until a condition holds: for what the protocol makes visible only in time.
func within(what string, condition func() bool) {
	for end := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			fail("not within %v: %s", patience, what)
		}
	}
}
