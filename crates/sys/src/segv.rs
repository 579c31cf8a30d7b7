//! segv
