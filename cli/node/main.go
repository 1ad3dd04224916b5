// Command node is a Shoal peer and its command line; installed, it is also
// called shoal.
package main

import (
	"os"

	"github.com/shoal-mesh/shoal/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
