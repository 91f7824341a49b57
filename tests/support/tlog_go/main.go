// Command tlogcheck verifies what schemas.tlog made, with code that shares nothing with it: the checksum database's own
// packages. It reads a list of checks as JSON from standard input and prints a list of answers.
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

type check struct {
	Kind      string            `json:"kind"` // note, cosignature, record, tree, tiles
	Note      string            `json:"note"`
	Key       string            `json:"key"`
	OldSize   int64             `json:"old_size"`
	Size      int64             `json:"size"`
	Index     int64             `json:"index"`
	OldRoot   []byte            `json:"old_root"`
	Root      []byte            `json:"root"`
	Leaf      []byte            `json:"leaf"`
	Hashes    [][]byte          `json:"hashes"`
	Files     map[string][]byte `json:"files"`
	ProofSize int64             `json:"proof_size"`
}

type answer struct {
	OK    bool     `json:"ok"`
	Error string   `json:"error"`
	Text  string   `json:"text"`
	Proof [][]byte `json:"proof"`
}

func main() {
	var checks []check
	if err := json.NewDecoder(os.Stdin).Decode(&checks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	answers := make([]answer, len(checks))
	for i, c := range checks {
		answers[i] = run(c)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func run(c check) (a answer) {
	var err error
	switch c.Kind {
	case "note":
		a.Text, err = openNote(c.Note, note.NewVerifier, c.Key)
	case "cosignature":
		a.Text, err = openNote(c.Note, newCosigner, c.Key)
	case "record":
		err = withHashes(c, func(h []tlog.Hash, _, root, leaf tlog.Hash) error {
			return tlog.CheckRecord(h, c.Size, root, c.Index, leaf)
		})
	case "tree":
		err = withHashes(c, func(h []tlog.Hash, oldRoot, root, _ tlog.Hash) error {
			return tlog.CheckTree(h, c.Size, root, c.OldSize, oldRoot)
		})
	case "tiles":
		a.Proof, err = proveFromTiles(c)
	default:
		err = fmt.Errorf("unknown kind %q", c.Kind)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	a.OK = true
	return a
}

func openNote(text string, parse func(string) (note.Verifier, error), key string) (string, error) {
	verifier, err := parse(key)
	if err != nil {
		return "", err
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return "", err
	}
	return opened.Text, nil
}

// cosigner checks Ed25519 cosignatures, type 0x04 of C2SP tlog-cosignature.
type cosigner struct {
	name string
	key  []byte
}

func newCosigner(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("vkey without three parts")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 0x04 {
		return nil, errors.New("no Ed25519 cosigner key")
	}
	c := cosigner{parts[0], key[1:]}
	if fmt.Sprintf("%08x", c.KeyHash()) != parts[1] {
		return nil, errors.New("another key id")
	}
	return c, nil
}

func (c cosigner) Name() string { return c.name }

func (c cosigner) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(c.name+"\n\x04"), c.key...))
	return binary.BigEndian.Uint32(sum[:])
}

func (c cosigner) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(signature), text)
	return ed25519.Verify(c.key, []byte(message), signature[8:])
}

func withHashes(c check, use func(h []tlog.Hash, oldRoot, root, leaf tlog.Hash) error) error {
	hashes, err := toHashes(c.Hashes)
	if err != nil {
		return err
	}
	named, err := toHashes([][]byte{orZero(c.OldRoot), orZero(c.Root), orZero(c.Leaf)})
	if err != nil {
		return err
	}
	return use(hashes, named[0], named[1], named[2])
}

func orZero(data []byte) []byte {
	if data == nil {
		return make([]byte, tlog.HashSize)
	}
	return data
}

func toHashes(list [][]byte) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(list))
	for i, data := range list {
		if len(data) != tlog.HashSize {
			return nil, fmt.Errorf("hash of %d bytes", len(data))
		}
		copy(hashes[i][:], data)
	}
	return hashes, nil
}

// proveFromTiles makes an inclusion proof (index in proof_size) from our files, which it checks against the root.
func proveFromTiles(c check) ([][]byte, error) {
	roots, err := toHashes([][]byte{c.Root})
	if err != nil {
		return nil, err
	}
	reader := tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: roots[0]}, files(c.Files))
	proof, err := tlog.ProveRecord(c.ProofSize, c.Index, reader)
	if err != nil {
		return nil, err
	}
	list := make([][]byte, len(proof))
	for i := range proof {
		list[i] = proof[i][:]
	}
	return list, nil
}

// files reads C2SP paths, which leave the height of a tile out.
type files map[string][]byte

func (f files) Height() int { return tileHeight }

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight), "tile/", 1)
		content, ok := f[path]
		if !ok {
			return nil, fmt.Errorf("no file %s", path)
		}
		data[i] = content
	}
	return data, nil
}

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}
