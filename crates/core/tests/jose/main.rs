//! JOSE: the vectors of the specifications, the faults that others shipped, and another library as oracle.
//!
//! `cfg(test)` is always true here; it tells clippy that functions without `#[test]` are test code as well.

#[cfg(test)]
mod keys;
#[cfg(test)]
mod lessons;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod parity;
#[cfg(test)]
#[cfg(test)]
mod vectors;
