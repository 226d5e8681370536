// The floor: the least that makes a session, uses it once and asks for it, on net/http and go-redis.
package main

import (
	"crypto/rand"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

const ttl = 30 * time.Minute

type session struct {
	User string `json:"user"`
	Used bool   `json:"used"`
}

type server struct{ store *redis.Client }

func main() {
	options, err := redis.ParseURL(os.Getenv("STORE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	s := server{redis.NewClient(options)}
	http.HandleFunc("POST /create", s.create)
	http.HandleFunc("POST /redeem", s.redeem)
	http.HandleFunc("GET /verify", s.verify)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

func (s server) create(w http.ResponseWriter, r *http.Request) {
	id, one := rand.Text(), session{User: "user-1"}
	if !s.write(w, r, id, one) {
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "sid", Value: id, MaxAge: 1800, HttpOnly: true})
	answer(w, one)
}

func (s server) redeem(w http.ResponseWriter, r *http.Request) {
	id, one, found := s.read(w, r)
	if !found {
		return
	}
	if one.Used {
		http.Error(w, "used", http.StatusUnauthorized)
		return
	}
	one.Used = true
	if s.write(w, r, id, one) {
		answer(w, one)
	}
}

func (s server) verify(w http.ResponseWriter, r *http.Request) {
	if _, one, found := s.read(w, r); found {
		answer(w, one)
	}
}

func (s server) read(w http.ResponseWriter, r *http.Request) (id string, one session, found bool) {
	cookie, err := r.Cookie("sid")
	if err != nil {
		http.Error(w, "no session", http.StatusUnauthorized)
		return
	}
	data, err := s.store.Get(r.Context(), "session:"+cookie.Value).Bytes()
	if err == redis.Nil {
		http.Error(w, "unknown", http.StatusUnauthorized)
		return
	}
	if err != nil || json.Unmarshal(data, &one) != nil {
		http.Error(w, "the store failed", http.StatusServiceUnavailable)
		return
	}
	return cookie.Value, one, true
}

func (s server) write(w http.ResponseWriter, r *http.Request, id string, one session) bool {
	data, err := json.Marshal(one)
	if err == nil {
		err = s.store.Set(r.Context(), "session:"+id, data, ttl).Err()
	}
	if err != nil {
		http.Error(w, "the store failed", http.StatusServiceUnavailable)
	}
	return err == nil
}

func answer(w http.ResponseWriter, one session) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"user": one.User})
}
