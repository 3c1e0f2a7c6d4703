// A client in Go as the public pages of RKE have it: the same requests, and answers decoded into
// structures of the same fields. `list` prints the sessions, `delete ID` ends one.
package main

import (
	"encoding/json"
	"fmt"
	"io/ioutil"
	"net/http"
	"os"
)

type Session struct {
	SessionID    string `json:"session_id"`
	Domain       string `json:"domain"`
	CsID         string `json:"cs_id"`
	CreatedAt    string `json:"created_at"`
	ExpiresAt    string `json:"expires_at"`
	EncryptCount int    `json:"encrypt_count"`
	DecryptCount int    `json:"decrypt_count"`
}

type List struct {
	Command  string    `json:"command"`
	Success  bool      `json:"success"`
	Total    int       `json:"total"`
	Active   int       `json:"active"`
	Sessions []Session `json:"sessions"`
}

type Deletion struct {
	Command   string `json:"command"`
	Success   bool   `json:"success"`
	SessionID string `json:"session_id"`
}

func get(url string, result interface{}) {
	response, err := http.Get(url)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	body, err := ioutil.ReadAll(response.Body)
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(body, result); err != nil {
		panic(err)
	}
}

func main() {
	host := os.Args[1]
	if os.Args[2] == "list" {
		var list List
		get(fmt.Sprintf("%s/api/rke/sessions", host), &list)
		fmt.Println(list.Command, list.Success, list.Total, list.Active)
		for _, s := range list.Sessions {
			fmt.Println(s.SessionID, s.Domain, s.CsID, s.CreatedAt, s.ExpiresAt, s.EncryptCount, s.DecryptCount)
		}
	} else {
		var deletion Deletion
		get(fmt.Sprintf("%s/api/rke/session/delete?session_id=%s", host, os.Args[3]), &deletion)
		fmt.Println(deletion.Command, deletion.Success, deletion.SessionID)
	}
}
