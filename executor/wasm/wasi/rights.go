package wasi

// Rights, as far as this package looks at them.
const (
	rightFDRead     = 1 << 1
	rightFDSeek     = 1 << 2
	rightFDSetFlags = 1 << 3
	rightFDSync     = 1 << 4
	rightFDTell     = 1 << 5
	rightFDWrite    = 1 << 6
	rightSetSize    = 1 << 22
	rightPoll       = 1 << 27

	rightsAll  = 1<<30 - 1
	rightsFile = 1<<0 | rightFDRead | rightFDSeek | rightFDSetFlags | rightFDSync | rightFDTell | rightFDWrite |
		1<<7 | 1<<8 | 1<<21 | rightSetSize | 1<<23 | rightPoll
	// A folder has every right but those to read, write and seek in a file.
	rightsDir = rightsAll &^ (1<<0 | rightFDRead | rightFDSeek | rightFDTell | rightFDWrite | 1<<8 | rightSetSize | rightPoll | 1<<28 | 1<<29)
)

// File types.
const (
	fileUnknown     = 0
	fileBlockDevice = 1
	fileCharDevice  = 2
	fileDirectory   = 3
	fileRegular     = 4
	fileSymlink     = 7
)

// Open flags, descriptor flags, lookup flags and flags of the time setters.
const (
	openCreate    = 1
	openDirectory = 2
	openExclusive = 4
	openTruncate  = 8

	flagAppend   = 1
	flagDSync    = 2
	flagNonblock = 4
	flagRSync    = 8
	flagSync     = 16

	followSymlink = 1

	setAtime    = 1
	setAtimeNow = 2
	setMtime    = 4
	setMtimeNow = 8
)
