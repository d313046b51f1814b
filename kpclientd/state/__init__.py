"""What outlives the process: sessions, their answers, and messages, in an encrypted file.

record_log   what the file looks like: records that are sealed, numbered and checked
state_key    where its key comes from
state_file   the file on the disk: opened, recovered, appended to, written anew
rows         what goes into it: sessions, answers and operations as rows under keys
written_page which answers were written to whom, in memory that outlives the process but not the machine
journal      which rows changed, and which commit puts what on the disk
keeper       commits, again and again, and deals with disks that fail
"""
