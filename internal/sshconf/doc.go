// Package sshconf answers one question: what does ssh_config(5) say about this
// destination? It exists because muxd must reach the same host, as the same
// user, with the same keys as the ssh that it stands in for, and because it
// asks that question for every request: a whole evaluation costs less than the
// fork that asking ssh -G would need.
//
// The rules are those of OpenSSH 10.5: the first value wins; command line,
// then muxd's own file, the user's file and the system's file; Host and Match
// blocks; Include; a second pass where Match final or CanonicalizeHostname
// asks for one. Errors are worded as ssh words them, so that a search for the
// message finds the answer that people already wrote.
//
// The package refuses three things. It runs nothing and resolves no name:
// Match exec, Match localnetwork and the names of CanonicalizeHostname are
// questions to functions of the caller, and an absent function is an error and
// never a silent no. It accepts no keyword that it does not know, and keywords
// of muxd's own only where ssh will not stumble over them. And it never guesses
// at a damaged file: a file with one bad line yields no configuration at all.
//
// Dump prints what ssh -G prints, and tests hold all of it to the ssh that is
// installed; the values that may differ are listed, each with its reason, in
// tolerated. Beyond values it differs by intent in five places:
//   - Match sessiontype=shell is read, which ssh 10.5 forgot.
//   - ProxyJump none with a comment behind it is none; ssh looks for a host of
//     that name.
//   - Unknown tokens and unset variables are refused at once for every keyword;
//     ssh -G passes over those that only connecting would need.
//   - A variable that is set to nothing counts as unset.
//   - CanonicalizePermittedCNAMEs without CanonicalizeHostname looks nothing up;
//     ssh does, and ignores what it learns.
//
// A Config does not change after Resolve returned it, so any number of
// goroutines may read one.
package sshconf
