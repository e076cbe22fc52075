//! Child processes: started in a process group of their own, ended as a whole tree, and never
//! outliving us.
//!
//! May import `failure` and `ports`.
