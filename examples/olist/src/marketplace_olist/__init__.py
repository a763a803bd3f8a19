"""The Olist data set as the history of a marketplace."""
