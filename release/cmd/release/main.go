// Command release makes what is published of Pace into a folder:
//
//	go run ./release/cmd/release [-out dist] [-image] [-version v0.3.0]
//
// The last line names the controller's image by its digest.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pullpace/pace/release"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := flag.String("out", "dist", "folder to write, which is emptied first")
	image := flag.Bool("image", false, "make the controller's image alone")
	version := flag.String("version", "", "version to stamp; default: the tag of the commit, or v0.0.0-dev")
	flag.Parse()
	if err := run(ctx, *out, *version, *image); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, out, version string, image bool) error {
	tree, err := release.Find(ctx)
	if err != nil {
		return err
	}
	commit := tree.Commit(ctx)
	if version != "" {
		commit.Version = version
	}
	made, err := tree.Write(ctx, out, commit, image)
	if err != nil {
		return err
	}
	for _, name := range made.Files {
		fmt.Println(filepath.Join(out, name))
	}
	fmt.Printf("version=%s image=%s\n", made.Version, made.Image)
	return nil
}
