"""Tables: files and frames with typed columns, as codes for a model and back.

`schema` says what a column is, `infer` finds it out, `read` and `writing` are the files, `codec` the codes,
`marginals` what is fitted to each column before training.
"""
