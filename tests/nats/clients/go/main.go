// SPDX-License-Identifier: MIT

// nats.go against a server: go-client URL. TAP. Its own tests are run by gotests.py; this is the
// newest version, as programs use it.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

func must(good bool, what string, more ...any) {
	if !good {
		panic(fmt.Sprintf(what, more...))
	}
}

func fine(err error) { must(err == nil, "%v", err) }

func publishSubscribe(nc, other *nats.Conn) {
	sub, err := nc.SubscribeSync("go.*.x")
	fine(err)
	fine(nc.Flush())
	for n := 0; n < 10000; n++ {
		fine(other.Publish(fmt.Sprintf("go.%d.x", n%7), []byte(fmt.Sprint(n))))
	}
	for n := 0; n < 10000; n++ {
		m, err := sub.NextMsg(30 * time.Second)
		fine(err)
		must(string(m.Data) == fmt.Sprint(n) && m.Subject == fmt.Sprintf("go.%d.x", n%7), "message %d", n)
	}
}

func requestReply(nc, other *nats.Conn) {
	_, err := nc.Subscribe("go.svc", func(m *nats.Msg) { m.Respond(append([]byte("re:"), m.Data...)) })
	fine(err)
	fine(nc.Flush())
	for n := 0; n < 500; n++ {
		m, err := other.Request("go.svc", []byte(fmt.Sprint(n)), 30*time.Second)
		fine(err)
		must(string(m.Data) == fmt.Sprintf("re:%d", n), "the answer %q", m.Data)
	}
	_, err = other.Request("go.nobody", nil, 30*time.Second)
	must(errors.Is(err, nats.ErrNoResponders), "no responders: %v", err)
}

func queue(nc, other *nats.Conn) {
	var counts [3]atomic.Int32
	for i := range counts {
		to := nc
		if i > 0 {
			to = other
		}
		_, err := to.QueueSubscribe("go.q", "workers", func(*nats.Msg) { counts[i].Add(1) })
		fine(err)
		fine(to.Flush())
	}
	for n := 0; n < 300; n++ {
		fine(nc.Publish("go.q", nil))
	}
	fine(nc.Flush())
	sum := func() int32 { return counts[0].Load() + counts[1].Load() + counts[2].Load() }
	for n := 0; n < 3000 && sum() < 300; n++ {
		time.Sleep(10 * time.Millisecond)
	}
	must(sum() == 300, "%d messages", sum())
	for i := range counts {
		must(counts[i].Load() > 50, "member %d has %d", i, counts[i].Load())
	}
}

func headers(nc, other *nats.Conn) {
	sub, err := nc.SubscribeSync("go.h")
	fine(err)
	fine(nc.Flush())
	m := nats.NewMsg("go.h")
	m.Header["a"] = []string{"1", "2"}
	m.Header.Set("Some-Key", "some value")
	m.Data = []byte("body")
	fine(other.PublishMsg(m))
	got, err := sub.NextMsg(30 * time.Second)
	fine(err)
	must(string(got.Data) == "body" && len(got.Header["a"]) == 2 && got.Header.Get("Some-Key") == "some value", "%v", got.Header)
}

func large(nc, other *nats.Conn) {
	sub, err := nc.SubscribeSync("go.large")
	fine(err)
	fine(nc.Flush())
	data := bytes.Repeat([]byte{7}, int(nc.MaxPayload()))
	fine(other.Publish("go.large", data))
	m, err := sub.NextMsg(30 * time.Second)
	fine(err)
	must(bytes.Equal(m.Data, data), "a large message")
	must(errors.Is(other.Publish("go.large", append(data, 1)), nats.ErrMaxPayload), "too large")
}

func drain(nc, other *nats.Conn) {
	var n atomic.Int32
	closed := make(chan bool, 1)
	nc.SetClosedHandler(func(*nats.Conn) { closed <- true })
	_, err := nc.Subscribe("go.drain", func(*nats.Msg) { time.Sleep(100 * time.Microsecond); n.Add(1) })
	fine(err)
	fine(nc.Flush())
	for i := 0; i < 500; i++ {
		fine(other.Publish("go.drain", nil))
	}
	fine(other.Flush())
	fine(nc.Drain())
	<-closed
	must(n.Load() == 500, "%d messages", n.Load())
}

func run(name string, number int, do func(nc, other *nats.Conn)) (bad bool) {
	connect := func() *nats.Conn {
		nc, err := nats.Connect(os.Args[1], nats.NoReconnect(), nats.DrainTimeout(60*time.Second))
		fine(err)
		return nc
	}
	nc, other := connect(), connect()
	defer nc.Close()
	defer other.Close()
	defer func() {
		if why := recover(); why != nil {
			fmt.Printf("not ok %d - %s\n# %v\n", number, name, why)
			bad = true
			return
		}
		fmt.Printf("ok %d - %s\n", number, name)
	}()
	do(nc, other)
	return false
}

func main() {
	bad, number := false, 0
	for _, c := range []struct {
		name string
		do   func(nc, other *nats.Conn)
	}{{"publish and subscribe", publishSubscribe}, {"request and reply", requestReply}, {"queue", queue},
		{"headers", headers}, {"large", large}, {"drain", drain}} {
		number++
		bad = run(c.name, number, c.do) || bad
	}
	fmt.Printf("1..%d\n", number)
	if bad {
		os.Exit(1)
	}
}
