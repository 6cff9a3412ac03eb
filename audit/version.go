package audit

// The versions of a session's record. A store keeps the highest, in whatever order they come. The process that keeps the session
// writes down that it opened and that it closed. When that process is lost, another one writes down that the session is lost, which
// the process's own word outweighs, should it have had the last one. And should it come back, because it was only cut off, it counts up
// its incarnation and begins again, above all that was written before.
//
//	incarnation   open   lost   closed
//	          0      1      2        3
//	          1      4      5        6
//	         84    253    254      255
//
// So a session is open when its version leaves 1 by the division by three.

// MaxIncarnation is the last one. A process that is taken for lost once more stays in it: its open sessions look lost until they close.
const MaxIncarnation = 84

// VersionOpen is the version of the record of a session that is open.
func VersionOpen(incarnation uint8) uint8 { return 3*min(incarnation, MaxIncarnation) + 1 }

// VersionLost is the version of the record of a session that ended with its process, which could not say so itself.
func VersionLost(incarnation uint8) uint8 { return 3*min(incarnation, MaxIncarnation) + 2 }

// VersionClosed is the version of the record of a session that has ended.
func VersionClosed(incarnation uint8) uint8 { return 3*min(incarnation, MaxIncarnation) + 3 }
