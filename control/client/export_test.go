package client

import "time"

// SetAnswerTime changes how long muxd may take to say how far a request had
// come, and returns what it was. Nothing may be under way.
func SetAnswerTime(d time.Duration) (was time.Duration) {
	was, answerTime = answerTime, d
	return was
}
