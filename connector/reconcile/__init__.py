"""The pipeline: snapshot, correlate, decide, plan, guard, apply, report; and the journal."""
