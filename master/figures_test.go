package master

import "time"

// What internal/sshlink and internal/login keep to, as far as it shows here. The
// figures stand in both places, so that no change of one goes unseen.
const (
	openTimeout   = 30 * time.Second       // the answer to the open of a session
	openDoubt     = 5 * time.Second        // the open that makes a connection prove itself
	proofPatience = 5 * time.Second        // a sign of life
	takenBackRace = 200 * time.Millisecond // what comes by a listener that was taken back
	maxRequest    = 256<<10 - 1024         // a command, in bytes
	heavyBytes    = 16 << 20               // what proves a transfer
	maxLent       = 256                    // channels to agents and displays
	lendTimeout   = 10 * time.Second       // the connect to one of them

	spareAfter = time.Millisecond       // from a command to the opening of the next one's channel
	spareTrust = 500 * time.Millisecond // the silence after which that one is not used without proof
	spareLife  = time.Minute            // from the last command to the end of such channels
	spareMost  = 4
	spareRoom  = 8 // sessions at the server, with them

	mostSaid     = 64 << 10        // by a server that is not logged in to, in bytes
	saidLeast    = 80              // as what each of its texts counts
	thinkingTime = 5 * time.Second // of a person at a question, with the login's slot
	touchTime    = 3 * time.Second // a signature without a touch
)
