package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"
)

const (
	// The largest packet that a path without jumbo frames brings.
	packetBytes = 1500
	// Requests for a key frame that come closer together than this are one.
	keyframeSpacing = 300 * time.Millisecond
)

// server holds the rooms and the sessions that can be deleted.
type server struct {
	api      *webrtc.API
	mutex    sync.Mutex
	rooms    map[string]*room
	sessions map[string]*webrtc.PeerConnection
}

func newServer(api *webrtc.API) *server {
	return &server{api: api, rooms: map[string]*room{}, sessions: map[string]*webrtc.PeerConnection{}}
}

func (s *server) room(name string) *room {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found, ok := s.rooms[name]
	if !ok {
		found = &room{}
		s.rooms[name] = found
	}
	return found
}

func (s *server) keep(connection *webrtc.PeerConnection) (string, error) {
	var secret [16]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", err
	}
	id := hex.EncodeToString(secret[:])
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.sessions[id] = connection
	return id, nil
}

func (s *server) close(id string) bool {
	s.mutex.Lock()
	connection, ok := s.sessions[id]
	delete(s.sessions, id)
	s.mutex.Unlock()
	if ok {
		_ = connection.Close()
	}
	return ok
}

// track is one published track and the way back to who publishes it.
type track struct {
	local     *webrtc.TrackLocalStaticRTP
	publisher *webrtc.PeerConnection
	source    webrtc.SSRC
	mutex     sync.Mutex
	asked     time.Time
}

// room is what is published under one name.
type room struct {
	mutex  sync.Mutex
	tracks []*track
}

// publish forwards whatever the connection brings.
func (r *room) publish(connection *webrtc.PeerConnection) error {
	connection.OnTrack(func(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		local, err := webrtc.NewTrackLocalStaticRTP(remote.Codec().RTPCodecCapability, remote.Kind().String(), remote.StreamID())
		if err != nil {
			log.Print(err)
			return
		}
		published := &track{local: local, publisher: connection, source: remote.SSRC()}
		r.add(published)
		defer r.remove(published)
		go drain(receiver.Read)
		buffer := make([]byte, packetBytes)
		for {
			count, _, err := remote.Read(buffer)
			if err != nil {
				return
			}
			// A closed pipe is one subscriber who has left.
			if _, err := local.Write(buffer[:count]); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				log.Print(err)
			}
		}
	})
	return nil
}

// subscribe sends everything that is published now.
func (r *room) subscribe(connection *webrtc.PeerConnection) error {
	r.mutex.Lock()
	tracks := append([]*track(nil), r.tracks...)
	r.mutex.Unlock()
	if len(tracks) == 0 {
		return errors.New("nothing is published in this room")
	}
	for _, published := range tracks {
		sender, err := connection.AddTrack(published.local)
		if err != nil {
			return err
		}
		go published.answer(sender)
	}
	return nil
}

// answer reads a subscriber's RTCP: the interceptors answer NACK on the way, requests for key frames go on to the publisher.
func (t *track) answer(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				t.requestKeyframe()
			}
		}
	}
}

func (t *track) requestKeyframe() {
	t.mutex.Lock()
	now := time.Now()
	isDue := now.Sub(t.asked) >= keyframeSpacing
	if isDue {
		t.asked = now
	}
	t.mutex.Unlock()
	if !isDue {
		return
	}
	request := &rtcp.PictureLossIndication{MediaSSRC: uint32(t.source)}
	if err := t.publisher.WriteRTCP([]rtcp.Packet{request}); err != nil {
		log.Print(err)
	}
}

// drain reads RTCP so that the interceptors see it.
func drain[Attributes any](read func([]byte) (int, Attributes, error)) {
	buffer := make([]byte, packetBytes)
	for {
		if _, _, err := read(buffer); err != nil {
			return
		}
	}
}

func (r *room) add(published *track) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.tracks = append(r.tracks, published)
}

func (r *room) remove(published *track) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for index, other := range r.tracks {
		if other == published {
			r.tracks = append(r.tracks[:index], r.tracks[index+1:]...)
			return
		}
	}
}
