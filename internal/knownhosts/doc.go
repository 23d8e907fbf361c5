// Package knownhosts answers who a host key belongs to, by the known_hosts
// files of OpenSSH (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
//
// It exists beside x/crypto's package of the same name because that one
// refuses a whole file for one bad line, knows no entry without a port, no
// order of host key algorithms and no writing, and compares names by case.
//
// It refuses to decide: whether an unknown or changed key ends the connection,
// asks somebody or is written down is StrictHostKeyChecking, which is the
// caller's. It asks nobody, resolves no name, removes no line, and reads no
// key revocation list.
package knownhosts
