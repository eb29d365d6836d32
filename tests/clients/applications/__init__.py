"""The SQLAlchemy models of three applications, independent of viraldb."""
