// A page that says which copy answers.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	port := os.Getenv("PORT")
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Using port %s\n", port)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}
