package main

import (
	"net"
	"net/http"
)

func serve(kind, address string) {
	switch kind {
	case "echo":
		fail(serveEcho(address).Error())
	case "http":
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte("Hello, World!"))
		})
		fail(http.ListenAndServe(address, handler).Error())
	default:
		fail("no such server: " + kind)
	}
}

// Go sets TCP_NODELAY by itself.
func serveEcho(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			defer connection.Close()
			buffer := make([]byte, 4096)
			for {
				n, err := connection.Read(buffer)
				if err != nil {
					return
				}
				if _, err = connection.Write(buffer[:n]); err != nil {
					return
				}
			}
		}()
	}
}
