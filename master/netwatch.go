package master

import "time"

// NetworkChanged tells the Master that addresses, routes or links of this
// machine are not what they were. It does not block.
func (m *Master) NetworkChanged() {}

// Woke tells the Master that nothing ran for the given time: the machine was
// suspended, or this process stopped. It does not block.
func (m *Master) Woke(asleep time.Duration) {}
