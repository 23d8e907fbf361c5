package sshlink

import "muxd/internal/hostkey"

// hostKeysRequest is the server saying which host keys it has.
const hostKeysRequest = hostkey.Announcement

// hostKeys takes the server's list of its keys, once. Called by requests, which
// must not wait: the proof is a request that may never be answered. Meanwhile
// watch takes it for a probe.
func (l *Link) hostKeys(payload []byte) bool {
	u := l.Update
	if u == nil || l.updated {
		return false
	}
	l.updated = true
	u.Proving, u.Log = l.proving.Store, l.Log
	go func() {
		if err := u.Learn(l.Conn, payload); err != nil {
			l.Log.Info("host keys are left as they are", "why", err)
		}
	}()
	return true
}
