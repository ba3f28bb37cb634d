// A client that tells how its connection is set, as options.py does: options ADDRESS:PORT. Go's own keepalive is off.
package main

import (
	"encoding/json"
	"net"
	"os"
	"syscall"
)

func main() {
	connection, err := (&net.Dialer{KeepAlive: -1}).Dial("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	raw, err := connection.(*net.TCPConn).SyscallConn()
	if err != nil {
		panic(err)
	}
	var seen [][]int
	raw.Control(func(fd uintptr) {
		options := [][2]int{
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT},
			{syscall.IPPROTO_TCP, 0x12}, // TCP_USER_TIMEOUT
		}
		var values []int
		for _, option := range options {
			value, err := syscall.GetsockoptInt(int(fd), option[0], option[1])
			if err != nil {
				panic(err)
			}
			values = append(values, value)
		}
		seen = append(seen, values)
	})
	json.NewEncoder(os.Stdout).Encode(seen)
}
