"""Three applications as SQLAlchemy knows them: their tables, and nothing of viraldb."""
