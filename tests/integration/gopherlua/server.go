// A Redis server whose scripts run in GopherLua, as those of Upstash do. Every other command goes to
// the Valkey behind it.
//
// Usage: server VALKEY_ADDRESS. Prints the port that it listens on.
package main

import (
	"bufio"
	"crypto/sha1"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
)

type status string
type failure string

var (
	running sync.Mutex // a script excludes all other commands
	scripts = map[string]string{}
)

func read(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, text := line[0], strings.TrimRight(line[1:], "\r\n")
	if kind == '+' {
		return status(text), nil
	} else if kind == '-' {
		return failure(text), nil
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || kind == ':' || number < 0 {
		return map[bool]any{true: number}[kind == ':'], err
	} else if kind == '$' {
		data := make([]byte, number+2)
		_, err = io.ReadFull(r, data)
		return string(data[:number]), err
	}
	items := make([]any, number)
	for i := range items {
		if items[i], err = read(r); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func write(w *bufio.Writer, value any) {
	switch v := value.(type) {
	case nil:
		fmt.Fprint(w, "$-1\r\n")
	case status:
		fmt.Fprintf(w, "+%s\r\n", string(v))
	case failure:
		fmt.Fprintf(w, "-%s\r\n", strings.NewReplacer("\r", " ", "\n", " ").Replace(string(v)))
	case int64:
		fmt.Fprintf(w, ":%d\r\n", v)
	case string:
		fmt.Fprintf(w, "$%d\r\n%s\r\n", len(v), v)
	case []any:
		fmt.Fprintf(w, "*%d\r\n", len(v))
		for _, item := range v {
			write(w, item)
		}
	}
}

func toLua(L *lua.LState, value any) lua.LValue {
	table := L.NewTable()
	switch v := value.(type) {
	case status:
		table.RawSetString("ok", lua.LString(v))
	case failure:
		table.RawSetString("err", lua.LString(v))
	case int64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case []any:
		for i, item := range v {
			table.RawSetInt(i+1, toLua(L, item))
		}
	default:
		return lua.LFalse
	}
	return table
}

func fromLua(value lua.LValue) any {
	switch v := value.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return int64(v)
	case lua.LBool:
		return map[bool]any{true: int64(1)}[bool(v)]
	case *lua.LTable:
		if text, ok := v.RawGetString("err").(lua.LString); ok {
			return failure(text)
		} else if text, ok := v.RawGetString("ok").(lua.LString); ok {
			return status(text)
		}
		items := []any{}
		for i := 1; v.RawGetInt(i) != lua.LNil; i++ {
			items = append(items, fromLua(v.RawGetInt(i)))
		}
		return items
	}
	return nil
}

func evaluate(send func([]any) any, script string, words []any) any {
	L := lua.NewState()
	defer L.Close()
	call := func(raises bool) lua.LGFunction {
		return func(L *lua.LState) int {
			command := []any{}
			for i := 1; i <= L.GetTop(); i++ {
				command = append(command, lua.LVAsString(L.Get(i)))
			}
			reply := send(command)
			if _, failed := reply.(failure); failed && raises {
				L.Error(toLua(L, reply), 1)
			}
			L.Push(toLua(L, reply))
			return 1
		}
	}
	redis := L.NewTable()
	redis.RawSetString("call", L.NewFunction(call(true)))
	redis.RawSetString("pcall", L.NewFunction(call(false)))
	L.SetGlobal("redis", redis)
	count, _ := strconv.Atoi(words[0].(string))
	L.SetGlobal("KEYS", toLua(L, words[1:1+count]))
	L.SetGlobal("ARGV", toLua(L, words[1+count:]))
	if strings.HasPrefix(script, "#!") {
		script = "--" + script
	}
	if err := L.DoString("return (function(...) " + script + "\nend)()"); err != nil {
		if raised, ok := err.(*lua.ApiError); ok && raised.Object.Type() == lua.LTTable {
			return fromLua(raised.Object)
		}
		return failure("ERR " + err.Error())
	}
	return fromLua(L.Get(1))
}

func serve(client, valkey net.Conn) {
	defer client.Close()
	defer valkey.Close()
	requests, replies := bufio.NewReader(client), bufio.NewReader(valkey)
	out, forward := bufio.NewWriter(client), bufio.NewWriter(valkey)
	send := func(command []any) any {
		write(forward, command)
		forward.Flush()
		reply, err := read(replies)
		if err != nil {
			return failure("ERR the Valkey closed the connection")
		}
		return reply
	}
	for {
		request, err := read(requests)
		if err != nil {
			return
		}
		command := request.([]any)
		name := strings.ToUpper(command[0].(string))
		if strings.HasSuffix(name, "SUBSCRIBE") { // from now on the connection has messages only
			write(forward, command)
			forward.Flush()
			go io.Copy(client, replies)
			io.Copy(valkey, requests)
			return
		}
		running.Lock()
		var reply any
		if name == "EVAL" || name == "EVALSHA" {
			script, known := command[1].(string), true
			if name == "EVAL" {
				scripts[fmt.Sprintf("%x", sha1.Sum([]byte(script)))] = script
			} else {
				script, known = scripts[script]
			}
			if known {
				reply = evaluate(send, script, command[2:])
			} else {
				reply = failure("NOSCRIPT No matching script. Please use EVAL.")
			}
		} else {
			reply = send(command)
		}
		running.Unlock()
		write(out, reply)
		out.Flush()
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() { // ends with the process that started it
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		valkey, err := net.Dial("tcp", os.Args[1])
		if err != nil {
			log.Fatal(err)
		}
		go serve(client, valkey)
	}
}
