//! The serving machinery: sockets, threads, connections and what bounds them.
//!
//! One acceptor owns the listening sockets and gives each connection to the serving thread with the
//! fewest; each thread answers its connections on a runtime of its own. Whoever starts it passes the
//! gRPC service in, wrapped in [`in_flight::InFlight`] and [`deadline::Deadlines`].

mod acceptor;
mod admission;
pub mod connection;
pub mod counters;
pub mod deadline;
pub mod drain;
pub mod http1;
pub mod in_flight;
pub mod limits;
pub mod listen;
pub mod serving;
pub mod threads;
pub mod tls;
mod transport;
