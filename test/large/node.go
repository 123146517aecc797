// node serve: HTTP on port 80, datagrams echoed on port 7. node ADDRESS: uses both, and prints what it sees
// of its own node.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
)

const size = 20_000_000

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	return value
}

func serve() {
	text := make([]byte, size)
	for i := range text {
		text[i] = byte(i * 7)
	}
	http.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) { w.Write(text) })
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprint(w, host)
	})
	listener := must(net.Listen("tcp", ":80"))
	echo := must(net.ListenPacket("udp", ":7"))
	go func() {
		text := make([]byte, 2000)
		for {
			n, from, err := echo.ReadFrom(text)
			if err != nil {
				return
			}
			echo.WriteTo(text[:n], from)
		}
	}()
	fmt.Println("listening", listener.Addr())
	http.Serve(listener, nil)
}

func get(url string) []byte {
	answer := must(http.Get(url))
	defer answer.Body.Close()
	return must(io.ReadAll(answer.Body))
}

func ask(host string) {
	var group sync.WaitGroup
	for i := 0; i < 50; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if seen := string(get("http://" + host + "/")); seen != "10.0.0.6" {
				fmt.Println("seen as", seen)
			}
		}()
	}
	group.Wait()
	text := get("http://" + host + "/large")
	fmt.Printf("%d %x\n", len(text), sha256.Sum256(text))

	datagrams := must(net.Dial("udp", host+":7"))
	must(datagrams.Write([]byte("datagram")))
	answer := make([]byte, 100)
	fmt.Println(string(answer[:must(datagrams.Read(answer))]), "from", datagrams.RemoteAddr())

	for _, i := range must(net.Interfaces()) {
		fmt.Println(i.Name, i.MTU, must(i.Addrs()))
	}
	fmt.Println(must(net.LookupHost("six.lab")), must(os.Hostname()))
	_, err := net.Dial("tcp", host+":81")
	fmt.Println(err)
}

func main() {
	if os.Args[1] == "serve" {
		serve()
	} else {
		ask(os.Args[1])
	}
}
