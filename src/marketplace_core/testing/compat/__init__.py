"""What two releases tell each other, and whether one still reads what the other wrote.

A release is *recorded*: the schemas of what crosses between processes or is kept, samples of it as bytes, and histories of
sagas. Later code reads the recording (:mod:`.recording`, :mod:`.histories`), and what later code writes is held against the
recorded schemas, as a process of that release would read it during a rolling upgrade.
"""
