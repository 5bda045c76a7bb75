package main

import (
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

func columns(*os.File) int { return 0 }
