// Package x11 is what a client of X11 forwarding knows of X11 (RFC 4254 section
// 6.3): which display DISPLAY names and how it is reached, the real credentials
// that xauth has for it, and the fake cookie that a session shows to the server
// in their place.
//
// A server is never given a real credential. It gets a random cookie per
// session; the first bytes of each connection that it opens must show one of
// those, which says whose connection it is, and only then is the real one put
// in. So a server can reach the displays of the sessions that asked, and a
// cookie is worth nothing once its session is over.
//
// The package knows no SSH: it reads and writes streams, and hands out payloads
// as bytes. xauth runs wherever the caller runs it, with arguments that no shell
// sees.
package x11
