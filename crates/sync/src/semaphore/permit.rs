//! What a task has that has acquired permits.

use std::mem;
use std::sync::Arc;

use super::Semaphore;

/// Permits of a [`Semaphore`]. Dropping them gives them back.
#[derive(Debug)]
#[must_use = "if unused the permits are given back at once"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

/// Permits of a [`Semaphore`] that keep it alive. Dropping them gives them back.
#[derive(Debug)]
#[must_use = "if unused the permits are given back at once"]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    count: usize,
}

impl<'a> SemaphorePermit<'a> {
    /// For who has taken so many.
    pub(super) fn new(semaphore: &'a Semaphore, count: usize) -> Self {
        Self { semaphore, count }
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Does away with the permits: the semaphore has so many less from now on.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// semaphore.acquire().forget();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Splits `count` of them off; `None` if there are not so many.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// let semaphore = Semaphore::new(3);
    /// let mut three = semaphore.acquire_many(3);
    /// drop(three.split(1));
    /// assert_eq!((three.count(), semaphore.available_permits()), (2, 1));
    /// assert!(three.split(3).is_none());
    /// ```
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self::new(self.semaphore, count))
    }

    /// Adds `other` to them.
    ///
    /// # Panics
    /// If they are of different semaphores.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// let semaphore = Semaphore::new(3);
    /// let mut permits = semaphore.acquire();
    /// permits.merge(semaphore.acquire_many(2));
    /// assert_eq!(permits.count(), 3);
    /// ```
    pub fn merge(&mut self, mut other: Self) {
        assert!(std::ptr::eq(self.semaphore, other.semaphore), "permits of different semaphores");
        self.count += mem::take(&mut other.count);
    }
}

impl OwnedSemaphorePermit {
    /// For who has taken so many.
    pub(super) fn new(semaphore: Arc<Semaphore>, count: usize) -> Self {
        Self { semaphore, count }
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Does away with the permits: the semaphore has so many less from now on.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(2));
    /// semaphore.acquire_owned().forget();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Splits `count` of them off; `None` if there are not so many.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(3));
    /// let mut three = semaphore.acquire_many_owned(3);
    /// drop(three.split(1));
    /// assert_eq!((three.count(), semaphore.available_permits()), (2, 1));
    /// assert!(three.split(3).is_none());
    /// ```
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self::new(self.semaphore.clone(), count))
    }

    /// Adds `other` to them.
    ///
    /// # Panics
    /// If they are of different semaphores.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(3));
    /// let mut permits = semaphore.acquire_owned();
    /// permits.merge(semaphore.acquire_many_owned(2));
    /// assert_eq!(permits.count(), 3);
    /// ```
    pub fn merge(&mut self, mut other: Self) {
        assert!(Arc::ptr_eq(&self.semaphore, &other.semaphore), "permits of different semaphores");
        self.count += mem::take(&mut other.count);
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        give_back(self.semaphore, mem::take(&mut self.count));
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        give_back(&self.semaphore, mem::take(&mut self.count));
    }
}

fn give_back(semaphore: &Semaphore, count: usize) {
    // Too many only if somebody added that many meanwhile: then these are the ones that are one too many.
    if count > 0 {
        let _ = semaphore.put(count);
    }
}
