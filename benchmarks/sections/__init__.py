"""The sections of the report.

Each is a module with a function `measure`, which is given the setting and yields pieces of text in
Markdown: headings and tables.
"""
