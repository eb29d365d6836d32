//! The sections of the report, each of which is a page of the dashboard.

/// A section of the report with a page of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Glance,
    Queue,
    Pipeline,
    Channels,
    Videos,
    Trends,
    Money,
    Storage,
    Errors,
    Doctor,
}

impl Section {
    pub const ALL: [Self; 10] = [
        Self::Glance,
        Self::Queue,
        Self::Pipeline,
        Self::Channels,
        Self::Videos,
        Self::Trends,
        Self::Money,
        Self::Storage,
        Self::Errors,
        Self::Doctor,
    ];

    /// Returns the address of the page.
    pub fn path(self) -> &'static str {
        match self {
            Self::Glance => "/",
            Self::Queue => "/queue",
            Self::Pipeline => "/pipeline",
            Self::Channels => "/channels",
            Self::Videos => "/videos",
            Self::Trends => "/trends",
            Self::Money => "/money",
            Self::Storage => "/storage",
            Self::Errors => "/errors",
            Self::Doctor => "/doctor",
        }
    }

    /// Returns the text in the navigation, which is the title of the page, too.
    pub fn label(self) -> &'static str {
        match self {
            Self::Glance => "At a glance",
            Self::Queue => "Queue",
            Self::Pipeline => "Pipeline",
            Self::Channels => "Channels",
            Self::Videos => "Videos",
            Self::Trends => "Trends",
            Self::Money => "Costs and revenue",
            Self::Storage => "Storage and backups",
            Self::Errors => "Errors",
            Self::Doctor => "Doctor",
        }
    }

    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.path() == path)
    }

    /// Returns true if the page with this address belongs to the section.
    pub fn has(self, path: &str) -> bool {
        let prefix = match self {
            Self::Queue => "/jobs/",
            Self::Pipeline => "/runs/",
            Self::Channels => "/channels/",
            Self::Videos => "/videos/",
            _ => return path == self.path(),
        };
        path == self.path() || path.starts_with(prefix)
    }

    pub fn is_of_period(self) -> bool {
        !matches!(self, Self::Storage | Self::Doctor)
    }

    pub fn is_by_channel(self) -> bool {
        matches!(self, Self::Glance | Self::Queue | Self::Channels)
    }

    pub fn is_by_niche(self) -> bool {
        matches!(self, Self::Glance | Self::Pipeline | Self::Videos)
    }
}
