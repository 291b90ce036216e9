// SPDX-License-Identifier: MIT

// The options of a test, as a command of either server. See outside.go.
package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func subjectsOf(p *SubjectPermission) map[string]any {
	if p == nil {
		return nil
	}
	m := map[string]any{}
	if p.Allow != nil {
		m["allow"] = p.Allow
	}
	if p.Deny != nil {
		m["deny"] = p.Deny
	}
	return m
}

func permissionsOf(p *Permissions) map[string]any {
	if p == nil {
		return nil
	}
	m := map[string]any{}
	if s := subjectsOf(p.Publish); s != nil {
		m["publish"] = s
	}
	if s := subjectsOf(p.Subscribe); s != nil {
		m["subscribe"] = s
	}
	if p.Response != nil {
		m["allow_responses"] = map[string]any{
			"max": p.Response.MaxMsgs, "expires": fmt.Sprintf("%dms", p.Response.Expires.Milliseconds())}
		if p.Publish != nil && len(p.Publish.Allow) == 0 && len(p.Publish.Deny) == 0 {
			delete(m, "publish") // what nats-server itself put there
		}
	}
	return m
}

// The users, in words that both servers understand; nil: everyone may do everything.
func authorizationOf(o *Options) map[string]any {
	m := map[string]any{}
	users := []map[string]any{}
	add := func(u map[string]any, p *Permissions, a *Account) {
		if a != nil && a.Name != globalAccountName {
			leftOut("accounts")
		}
		if rights := permissionsOf(p); rights != nil {
			u["permissions"] = rights
		}
		users = append(users, u)
	}
	for _, u := range o.Users {
		add(map[string]any{"user": u.Username, "password": u.Password}, u.Permissions, u.Account)
	}
	for _, u := range o.Nkeys {
		add(map[string]any{"nkey": u.Nkey}, u.Permissions, u.Account)
	}
	if o.Username != "" {
		add(map[string]any{"user": o.Username, "password": o.Password}, nil, nil)
	}
	if len(users) > 0 {
		m["users"] = users
	}
	if o.Authorization != "" {
		m["token"] = o.Authorization
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d", max(d.Milliseconds(), 10)) }

func outsideFluxMQ(o *Options, p *outsideProcess) *exec.Cmd {
	settings := map[string]string{}
	number := func(name string, value int64, given bool) {
		if given {
			settings[name] = fmt.Sprint(value)
		}
	}
	number("max.payload", int64(o.MaxPayload), o.MaxPayload > 0)
	number("max.pending", max(o.MaxPending, 65536), o.MaxPending > 0)
	number("max.control.line", int64(max(o.MaxControlLine, 64)), o.MaxControlLine > 0)
	number("max.connections", int64(o.MaxConn), o.MaxConn > 0)
	number("max.subscriptions", int64(o.MaxSubs), o.MaxSubs > 0)
	number("ping.max", int64(o.MaxPingsOut), o.MaxPingsOut > 0)
	number("ping.interval.ms", max(o.PingInterval.Milliseconds(), 10), o.PingInterval > 0)
	number("write.deadline.ms", max(o.WriteDeadline.Milliseconds(), 10), o.WriteDeadline > 0)
	number("auth.timeout.ms", max(int64(o.AuthTimeout*1000), 10), o.AuthTimeout > 0)
	number("lame.duck.ms", o.LameDuckDuration.Milliseconds(), o.LameDuckDuration > 0)
	if o.ServerName != "" {
		settings["server.name"] = o.ServerName
	}
	host := o.Host
	if host == "" {
		host = "0.0.0.0"
	}
	words := []string{"--host", host, "--port", fmt.Sprint(freePort("127.0.0.1")),
		"--nats-port", fmt.Sprint(o.Port), "--metrics-port", fmt.Sprint(p.http),
		"--data-dir", filepath.Join(p.folder, "data")}
	if users := authorizationOf(o); users != nil {
		if o.NoAuthUser != "" {
			users["no_auth_user"] = o.NoAuthUser
		}
		words = append(words, "--nats-users", writeJSON(filepath.Join(p.folder, "users.json"), users))
	}
	c := exec.Command(os.Getenv("OUTSIDE_BIN"), words...)
	c.Env = os.Environ()
	for name, value := range settings {
		name = strings.ReplaceAll(strings.ToUpper(name), ".", "_")
		c.Env = append(c.Env, "FLUXMQ_NATS_"+name+"="+value)
	}
	return c
}

func writeJSON(path string, value any) string {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	if err == nil {
		err = os.WriteFile(path, text.Bytes(), 0o600)
	}
	if err != nil {
		panic(err)
	}
	return path
}

// nats-server's configuration language takes JSON.
func outsideNats(o *Options, p *outsideProcess) *exec.Cmd {
	m := map[string]any{"port": o.Port, "http": fmt.Sprintf("127.0.0.1:%d", p.http)}
	set := func(name string, value any, given bool) {
		if given {
			m[name] = value
		}
	}
	set("host", o.Host, o.Host != "")
	set("server_name", o.ServerName, o.ServerName != "")
	set("max_payload", o.MaxPayload, o.MaxPayload > 0)
	set("max_pending", o.MaxPending, o.MaxPending > 0)
	set("max_control_line", o.MaxControlLine, o.MaxControlLine > 0)
	set("max_connections", o.MaxConn, o.MaxConn > 0)
	set("max_subscriptions", o.MaxSubs, o.MaxSubs > 0)
	set("ping_max", o.MaxPingsOut, o.MaxPingsOut > 0)
	set("ping_interval", milliseconds(o.PingInterval)+"ms", o.PingInterval > 0)
	set("write_deadline", milliseconds(o.WriteDeadline)+"ms", o.WriteDeadline > 0)
	set("no_auth_user", o.NoAuthUser, o.NoAuthUser != "")
	if a := authorizationOf(o); a != nil {
		if o.AuthTimeout > 0 {
			a["timeout"] = o.AuthTimeout
		}
		m["authorization"] = a
	}
	return exec.Command(os.Getenv("OUTSIDE_BIN"), "-c", writeJSON(filepath.Join(p.folder, "server.conf"), m))
}
