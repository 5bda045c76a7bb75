// Package simulation holds tests that run the whole service in virtual time, against
// everything that may go wrong around it. It has no code of its own.
//
// One simulated history has two or three processes, each with its own server, rotator,
// pruner and caches, over one DynamoDB and one KMS in memory; clients that call any of
// them; a rotation function; and a driver. Every remote call is a turn: the caller
// parks under a name that does not depend on who came first (client, call, item, number
// of the try). The driver waits until all are parked, picks one by the seed, and
// chooses what becomes of it: it is done, refused, lost on the way, done while its
// answer is lost, or done long after its caller gave up. Between turns it lets time
// pass, holds indexes back, moves clocks, kills processes, and runs the schedules. So a
// seed is a history, and runs again as it was.
//
// One history in three has a second Region, with its own table, keys and processes. In both,
// runners deliver what is noted for the other: as each note's stream event says, once, twice
// or not at all, and by a schedule. Regions are added, overwritten by force, removed and
// promoted, some of it by a meddler while a delivery is under way; a Region is down, or the
// two are apart. Every state that the table of a primary had is kept, with its values, and a
// delivery has to show one of them, later than the last. What is delivered and removed by
// the other Region is part of the history of the secret there, as its readers see it.
//
// What the clients saw, with every version that was removed, is checked against a model
// of one secret that shares no code with the service (model_test.go), by porcupine. The
// table is verified at the end, after the faults have stopped and the schedules have
// had their time: nothing may be left that is due, and each replica is in sync, or says
// truly why not.
//
//	go test ./pkg/simulation -run TestHistories -seed 1234 -histories 1 -v
//
// runs one seed again and prints its turns.
package simulation
