// SPDX-License-Identifier: MIT

// Put into a copy of nats-server's package "server" by ../gotests.py, in the place of the methods
// that start, end and ask a server: what its tests and those of nats.go start is then another
// process, OUTSIDE_BIN, of OUTSIDE_KIND fluxmq or nats-server. A test that asks for something that
// a client protocol server does not have ends the program with status 77 and says what it was.
package server

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type outsideProcess struct {
	command *exec.Cmd
	ended   chan struct{}
	http    int
	folder  string
}

var outsideServers sync.Map // *Server -> *outsideProcess

func leftOut(why string) {
	fmt.Printf("\nLEFT OUT: %s\n", why)
	os.Exit(77)
}

var nextPort = atomic.Int32{}

func init() {
	nextPort.Store(int32(rand.Intn(10000)))
}

// Below the range that outgoing connections take theirs from, and never one twice: between this
// look and the server's own listening, another server of these tests could be given it.
func freePort(host string) int {
	for {
		port := 20000 + int(nextPort.Add(1))%10000
		if l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			l.Close()
			return port
		}
	}
}

// What these options ask for and a NATS client protocol server is not.
func unsupported(o *Options) string {
	switch {
	case o.Cluster.Port != 0 || len(o.Routes) > 0:
		return "clusters"
	case o.Gateway.Name != "" || o.Gateway.Port != 0:
		return "gateways"
	case o.LeafNode.Port != 0 || len(o.LeafNode.Remotes) > 0:
		return "leaf nodes"
	case o.JetStream:
		return "JetStream's own API"
	case o.Websocket.Port != 0:
		return "WebSocket"
	case o.MQTT.Port != 0:
		return "MQTT"
	case o.TLSConfig != nil || o.TLS:
		return "TLS (comes with the security work)"
	case len(o.TrustedKeys) > 0 || len(o.TrustedOperators) > 0 || o.AccountResolver != nil:
		return "JWT accounts and operators"
	case len(o.Accounts) > 0 || o.AuthCallout != nil || o.SystemAccount != "":
		return "accounts"
	case o.CustomClientAuthentication != nil:
		return "an authenticator written in Go"
	case o.ClientAdvertise != "":
		return "client_advertise"
	case o.NoHeaderSupport:
		return "a server without headers"
	case o.DontListen:
		return "connections inside of one process"
	case o.HTTPSPort != 0 || o.ProfPort != 0 || o.PidFile != "" || o.PortsFileDir != "":
		return "files and ports of nats-server's own"
	}
	return ""
}

func (s *Server) Start() {
	o := s.getOpts()
	if why := unsupported(o); why != "" {
		leftOut(why)
	}
	if o.Port <= 0 { // NewServer has put in the default and 0 for "any"
		o.Port = freePort(o.Host)
	}
	p := &outsideProcess{ended: make(chan struct{}), http: o.HTTPPort}
	if p.http <= 0 {
		p.http = freePort("127.0.0.1")
	}
	folder, err := os.MkdirTemp(os.Getenv("OUTSIDE_FOLDER"), "server-")
	if err != nil {
		panic(err)
	}
	p.folder = folder
	if os.Getenv("OUTSIDE_KIND") == "fluxmq" {
		p.command = outsideFluxMQ(o, p)
	} else {
		p.command = outsideNats(o, p)
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		panic(err)
	}
	p.command.Stdout, p.command.Stderr = log, log
	if err := p.command.Start(); err != nil {
		panic(err)
	}
	log.Close()
	go func() {
		p.command.Wait()
		close(p.ended)
	}()
	s.running.Store(true)
	outsideServers.Store(s, p)
}

func outsideOf(s *Server) *outsideProcess {
	p, ok := outsideServers.Load(s)
	if !ok {
		return nil
	}
	return p.(*outsideProcess)
}

func dialable(o *Options) string {
	host := o.Host
	if host == "" || host == "0.0.0.0" {
		host = "127.0.0.1"
	} else if host == "::" {
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.Itoa(o.Port))
}

func (s *Server) ReadyForConnections(wait time.Duration) bool {
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		p := outsideOf(s)
		if p == nil {
			continue
		}
		select {
		case <-p.ended:
			text, _ := os.ReadFile(filepath.Join(p.folder, "log"))
			fmt.Printf("\nthe server ended by itself: %s\n", text)
			return false
		default:
		}
		c, err := net.Dial("tcp", dialable(s.getOpts()))
		if err == nil {
			c.Close()
			return true
		}
	}
	return false
}

func (s *Server) end(signal syscall.Signal) {
	if p := outsideOf(s); p != nil && s.running.CompareAndSwap(true, false) {
		p.command.Process.Signal(signal)
		select {
		case <-p.ended:
		case <-time.After(60 * time.Second):
			fmt.Printf("\nthe server did not end within 60 s\n")
			os.Exit(1)
		}
		os.RemoveAll(p.folder)
	}
}

func (s *Server) Shutdown()         { s.end(syscall.SIGTERM) }
func (s *Server) LameDuckShutdown() { s.signal(syscall.SIGUSR2); s.WaitForShutdown() }
func (s *Server) lameDuckMode()     { s.LameDuckShutdown() }
func (s *Server) Reload() error     { leftOut("reload of nats-server's configuration file"); return nil }

func (s *Server) signal(signal syscall.Signal) { outsideOf(s).command.Process.Signal(signal) }
func (s *Server) WaitForShutdown()             { <-outsideOf(s).ended }

func (s *Server) Addr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", dialable(s.getOpts()))
	if err != nil {
		panic(err)
	}
	return a
}

func (s *Server) ClientURL() string { return "nats://" + dialable(s.getOpts()) }

func (s *Server) MonitorAddr() *net.TCPAddr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: outsideOf(s).http}
}

// Asks the HTTP port.
func (s *Server) ask(path string, answer any) {
	r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", outsideOf(s).http, path))
	if err != nil {
		panic(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(answer); err != nil {
		panic(err)
	}
}

func (s *Server) NumClients() int {
	var z struct {
		Total int `json:"total"`
	}
	s.ask("/connz", &z)
	return z.Total
}

func (s *Server) NumSubscriptions() uint32 {
	var z struct {
		Count uint32 `json:"num_subscriptions"`
	}
	s.ask("/subsz?acc=$G", &z)
	return z.Count
}

func (s *Server) Varz(*VarzOptions) (*Varz, error) {
	z := &Varz{}
	s.ask("/varz", z)
	return z, nil
}

func (s *Server) Connz(o *ConnzOptions) (*Connz, error) {
	z := &Connz{}
	query := "/connz?"
	if o != nil && o.Subscriptions {
		query += "subs=1&"
	}
	if o != nil && o.Username {
		query += "auth=1&"
	}
	s.ask(query, z)
	return z, nil
}
