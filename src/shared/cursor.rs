//! A place in a list over pages of shared data. Values that come and go do not change the order.

/// A place in the order of pages, and of the keys on each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCursor {
    /// The page.
    pub page: u32,
    /// The last key that was listed; `None` before the first of the page.
    pub behind: Option<[u8; 16]>,
}

impl PageCursor {
    /// Reads a cursor as [`PageCursor::text`] writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let (page, key) = text.split_once('-').unwrap_or((text, ""));
        let page = u32::from_str_radix(page, 16).ok()?;
        let behind = match key {
            "" => None,
            key => Some(u128::from_str_radix(key, 16).ok()?.to_be_bytes()),
        };
        Some(Self { page, behind })
    }

    /// Writes the cursor.
    pub fn text(&self) -> String {
        let page = self.page;
        match self.behind {
            None => format!("{page:x}"),
            Some(key) => format!("{page:x}-{:x}", u128::from_be_bytes(key)),
        }
    }
}

impl PageCursor {
    /// Returns the beginning of the next page.
    #[must_use]
    pub const fn next_page(self) -> Self {
        Self {
            page: self.page.saturating_add(1),
            behind: None,
        }
    }
}
