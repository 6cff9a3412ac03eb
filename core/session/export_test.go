package session

// MaxUnderWay is for tests.
const MaxUnderWay = maxUnderWay
