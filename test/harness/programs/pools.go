// Clients of an HTTP server with net/http's pool of connections, which ask it again and again: pools KIND HOST CLIENTS.
// They print, and are told, what those of pools.py are.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

func main() {
	url := "http://" + os.Args[2] + "/"
	clients, _ := strconv.Atoi(os.Args[3])
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	// Who asks holds it shared, a pause holds it alone.
	var asking sync.RWMutex
	for number := 0; number < clients; number++ {
		go func(number int) {
			for {
				asking.RLock()
				begin := time.Now().UnixMilli()
				fmt.Printf("{\"client\":%d,\"begin\":%d}\n", number, begin)
				failure := "null"
				if err := ask(client, url); err != nil {
					failure = strconv.Quote(err.Error())
				}
				end := time.Now().UnixMilli()
				fmt.Printf("{\"client\":%d,\"begin\":%d,\"end\":%d,\"error\":%s}\n", number, begin, end, failure)
				asking.RUnlock()
				time.Sleep(50 * time.Millisecond)
			}
		}(number)
	}
	resting := false
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "go" {
			asking.Unlock()
			resting = false
		} else {
			if !resting {
				asking.Lock()
				resting = true
			}
			fmt.Println(`{"resting":true}`)
		}
	}
}

func ask(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
