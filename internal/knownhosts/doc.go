// Package knownhosts answers who a host key belongs to, by the known_hosts
// files of OpenSSH (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
//
// It exists beside x/crypto's package of the same name because that one
// refuses a whole file for one bad line, knows no entry without a port, no
// order of host key algorithms and no writing, and compares names by case.
//
// It also reads lists of revoked keys, plain ones and key revocation lists
// (PROTOCOL.krl), which x/crypto does not know at all.
//
// It refuses to decide: whether an unknown or changed key ends the connection,
// asks somebody or is written down is StrictHostKeyChecking, which is the
// caller's. It asks nobody, runs nothing, and resolves no name.
package knownhosts
