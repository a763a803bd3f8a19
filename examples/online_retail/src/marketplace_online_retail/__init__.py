"""The invoices of Online Retail as a product file."""
