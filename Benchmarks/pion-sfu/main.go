// A minimal SFU on Pion, to measure against: WHIP to publish, WHEP to watch, everything that is published in a room goes to everybody
// who watches it. It does what an application on Pion would do first: one TrackLocalStaticRTP for each published track, the default
// interceptors for NACK, reports and transport-wide feedback, and key frame requests passed on.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v3"
)

// An offer of a hundred sections is far below this.
const maximumOfferBytes = 1 << 20

func main() {
	address := flag.String("http", "127.0.0.1:7070", "where to serve WHIP and WHEP")
	flag.Parse()
	api, err := makeAPI()
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, newServer(api)))
}

// makeAPI configures Pion as its examples do, and for one machine: an ICE-lite agent with candidates on loopback only.
func makeAPI() (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	interceptors := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(media, interceptors); err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{}
	settings.SetLite(true)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	return webrtc.NewAPI(
		webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors), webrtc.WithSettingEngine(settings)), nil
}

// ServeHTTP routes POST /whip/{room}, POST /whep/{room} and DELETE /session/{id}.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) != 2 {
		http.NotFound(w, r)
		return
	}
	switch {
	case r.Method == http.MethodPost && parts[0] == "whip":
		s.join(w, r, s.room(parts[1]).publish)
	case r.Method == http.MethodPost && parts[0] == "whep":
		s.join(w, r, s.room(parts[1]).subscribe)
	case r.Method == http.MethodDelete && parts[0] == "session":
		if !s.close(parts[1]) {
			http.NotFound(w, r)
		}
	default:
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// join answers an offer. The preparation adds tracks and handlers between the offer and the answer.
func (s *server) join(w http.ResponseWriter, r *http.Request, prepare func(*webrtc.PeerConnection) error) {
	offer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maximumOfferBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	connection, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer, err := negotiate(connection, string(offer), prepare)
	if err != nil {
		_ = connection.Close()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id, err := s.keep(connection)
	if err != nil {
		_ = connection.Close()
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", "/session/"+id)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

func negotiate(connection *webrtc.PeerConnection, offer string, prepare func(*webrtc.PeerConnection) error) (string, error) {
	if err := prepare(connection); err != nil {
		return "", err
	}
	err := connection.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", err
	}
	answer, err := connection.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	// Host candidates only: this takes no time, and the answer needs no trickling.
	gathered := webrtc.GatheringCompletePromise(connection)
	if err := connection.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	local := connection.LocalDescription()
	if local == nil {
		return "", errors.New("no local description")
	}
	return local.SDP, nil
}
